"""The conductor: reads the graph from ``dvc.yaml``, plans, and runs the stages through Prefect."""
