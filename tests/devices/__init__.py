"""Our own functions on fake CUDA tensors: device faults without a GPU."""
