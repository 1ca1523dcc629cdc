"""What takes minutes and hurts the product: kills, full disks, dead servers, clusters (``stress``)."""
