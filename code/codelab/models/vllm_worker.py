"""What vLLM's worker process is asked for measuring. Imported there, by name; not covered: anything that it serves."""


class CountMemory:
    """Mixed into vLLM's worker (``worker_extension_cls``), whose attributes it must not shadow."""

    def allocator_peak(self) -> int:
        """Peak of torch's CUDA allocator in this process since it began, bytes."""
        import torch  # noqa: PLC0415

        return int(torch.cuda.max_memory_allocated())
