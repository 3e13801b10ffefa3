"""A clock that moves when it is told to, and when somebody sleeps by it."""


class PassingTime:
    def __init__(self, now_s: float = 1_000_000.0) -> None:
        self.now_s = now_s
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds
