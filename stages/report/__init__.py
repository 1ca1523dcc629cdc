"""The results of all variants and seeds as one offline page, one metrics file and plots for DVC."""
