"""Jobs that run by the clock: a job service with the label `scow.cron` (`opts/schedule.py`) begins a new iteration at each
time. The time of the last one is in the service and changes in one transaction with the iteration, so that each time begins one, whoever
leads. Times that passed while nobody led are made up for by one iteration, and where they are several the log says so. A clock set back by
up to three hours repeats nothing; one that was wrong by more counts anew from where it is set. `docs/design/swarm.md` has the promise."""

from scow import log
from scow.errors import InvalidArgument, ScowError
from scow.opts.schedule import LABEL, Schedule, parse, skips
from scow.swarm.clock import Clock
from scow.swarm.objects import Service, Task, TaskState
from scow.swarm.store.store import Store, Tx

logger = log.get(__name__)

_EVERY_SECONDS = 1.0
_SET_BACK_NS = 3 * 3600 * 10**9  # changes of the clock by less than this are summer time and the like
_MOST_COUNTED = 1000


class Cron:
    """The leader's watch on the clock."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._errors: dict[str, str] = {}

    async def run(self) -> None:
        """Look every second; runs while this manager leads."""
        while True:
            await self._clock.sleep(_EVERY_SECONDS)
            failed: dict[str, str] = {}
            for service in self._store.all(Service):
                if LABEL in service.labels and service.mode.endswith("-job"):
                    try:
                        await self._consider(service)
                    except ScowError as error:  # tried again; the others have their times, too
                        if self._errors.get(service.id) != error.message:
                            logger.warning("job %s cannot begin by its schedule: %s", service.name, error.message)
                        failed[service.id] = error.message
            self._errors = failed

    async def _consider(self, service: Service) -> None:
        try:
            schedule, skipping = parse(service.labels[LABEL]), skips(service.labels)
        except InvalidArgument:
            return  # refused when it was made; a label added later says nothing
        now = self._clock.now_ns()
        last = max(service.job_executed_ns or service.created_ns, service.scheduled_ns)
        wrong = last > now + _SET_BACK_NS  # that was no time of this world: without a new beginning the job would never run
        due = schedule.after(last)
        if not wrong and (due is None or due > now):
            return

        going = not wrong and self._goes_on(service)

        def write(tx: Tx) -> bool:
            fresh = tx.get(Service, service.id)
            if fresh is None or fresh.job_executed_ns != service.job_executed_ns or fresh.scheduled_ns != service.scheduled_ns:
                return False
            if going and skipping:
                tx.update(fresh.changed(scheduled_ns=now))
                return False
            since = min(fresh.scheduled_ns, now)
            tx.update(fresh.changed(job_iteration=fresh.job_iteration + (not wrong), job_executed_ns=now, scheduled_ns=since))
            return not wrong

        begun = await self._store.update(write)
        if going and skipping:
            logger.info("job %s: a time of its schedule is left out, the run before goes on", service.name)
        if begun:
            logger.info("job %s begins by its schedule%s", service.name, ", the run before is ended" if going else "")
            if due is not None and (passed := _passed(schedule, due, now)) > 1:
                count = f"{passed} times" if passed < _MOST_COUNTED else "very many times"
                logger.warning("job %s: %s of its schedule passed while no manager led: it runs once for all of them", service.name, count)

    def _goes_on(self, service: Service) -> bool:
        """Whether the present run has tasks that are still to end."""
        tasks = [task for task in self._store.by(Task, "service", service.id) if task.job_iteration == service.job_iteration]
        return any(not task.over and task.desired_state <= TaskState.COMPLETE for task in tasks)


def _passed(schedule: Schedule, due: int, now: int) -> int:
    """How many times there are from `due` to `now`."""
    count, at = 0, due
    while at <= now and count < _MOST_COUNTED:
        count += 1
        following = schedule.after(at)
        if following is None:
            break
        at = following
    return count
