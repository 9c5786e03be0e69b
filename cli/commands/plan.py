"""nlmeans plan: what denoise would run, without running it."""

from pathlib import Path

import click
from nlmeans.cli.files import Report, each_file
from nlmeans.cli.jobs import FilterOptions, job_of
from nlmeans.cli.learned import assumptions, record_of
from nlmeans.cli.notices import memory_left
from nlmeans.cli.options.files import inputs_argument, json_option
from nlmeans.cli.options.job import job_options
from nlmeans.cli.planned import PlannedRun
from nlmeans.cli.words import how_found, noise_found, noted, settings_record

from nlmeans.base.texts import shown


@click.command(
    epilog="""\b
Examples:
  nlmeans plan photo.jpg
  nlmeans plan photo.jpg --sigma 25 --search-size 35
  nlmeans plan photo.jpg --preview 0,0,200,100 --keep-detail
  nlmeans plan photo.jpg --json | jq .seconds"""
)
@inputs_argument(many=False)
@job_options
@json_option
def plan(path: Path, options: FilterOptions, as_json: bool) -> int:
    """Show what `nlmeans denoise` would run on a file, without running it.

    Prints what would be done with the same options: the noise level and the equation with its
    numbers; by which kernel, with the reason for it; the memory it takes; and how long. Of several
    pages or volumes taken alone the equation and the kernel are the first one's, memory and time
    those of all. With --method ridge the kernel is its classical step's; its groups take twenty
    times as long.

    \b
    With --json one object: stack, pages and settings as `denoise --json`
    has them (sigma and h in grey levels, or of the stabilised image;
    sizes in pixels), and
      operation           the equation; null, as the next six, where nothing is to be removed
      kernel, reason      which runs, and why
      tiles, tile         how many parts, of how many positions along each axis
      pairs, operations   how many: pairs summed over, floating-point operations
      shape, channels     positions along each axis of what is filtered at once; channels
      memory_bytes        bytes above the input, at the peak
      seconds             in all
      estimating_seconds  of these, what estimating the noise takes
      threads             on how many
    """

    def work(path: Path) -> Report:
        from nlmeans.images.formats import VIDEOS

        if path.suffix.lower() in VIDEOS:
            from nlmeans.cli.video import plan_video

            planned = plan_video(path, options)
        else:
            planned = plan_picture(path, options)
        return Report(str(planned), planned.record, planned.notes)

    return each_file([path], work, as_json=as_json)


def plan_picture(path: Path, options: FilterOptions) -> PlannedRun:
    """What would be run on a picture or stack."""
    from nlmeans.base.cost import Cost
    from nlmeans.base.machine import cores
    from nlmeans.images import load
    from nlmeans.noise.find import estimating_seconds

    picture = load(path)
    job = job_of(picture, options)
    asked = options.request(None).asked
    estimating = sum(
        estimating_seconds(image.shape, task.layout, asked)
        for image, task in zip(job.images, job.tasks, strict=True)
        if task.settings is not None and task.settings.estimated
    )
    task, image = job.tasks[0], job.images[0]
    which = "in the first " if len(job.tasks) > 1 else ""
    intro = "".join(f"{shown(path)}: {each}\n" for each in job.equivalents[:1])
    if job.weights is not None:
        found = f"weights {shown(Path(job.weights.path))}, layout {job.weights.layout}"
        found += assumptions(job.weights)
        facts = {**job.pages.record, "weights": job.weights.path, **record_of(job.weights)}
    else:
        settings = job.settings[:1]
        how = how_found(settings, by_map=options.sigma_map is not None)
        found = f"{which}{noise_found(settings, '{:.4g}'.format)} ({how})"
        facts = {"like": str(job.equivalents[0])} if job.equivalents else {}
        facts |= {"sigma_estimated": settings[0].estimated, **job.pages.record}
        facts |= settings_record(settings[0])
    own = () if job.pages.note is None else (job.pages.note,)
    return PlannedRun(
        task,
        task.layout.colours(image).shape,
        image.dtype,
        job.cost() + Cost(estimating, 0),
        estimating,
        options.threads or cores(),
        memory_left(options.max_memory, picture.pixels.nbytes),
        f"{intro}{shown(path)}: {job.pages}",
        found,
        facts,
        (*job.notes, *noted((path, own))),
    )
