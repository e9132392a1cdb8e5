"""The commands `nas bench ...`."""

import typer

from nas.cli.bench_controllers import bench_controllers
from nas.cli.bench_methods import bench_methods
from nas.cli.bench_operators import bench_operators

bench_app = typer.Typer(
    help="Compare controllers, operators or training methods with each other.",
    no_args_is_help=True,
)
bench_app.command(
    "controllers",
    epilog="Example: nas bench controllers --table nas-bench-macro.csv --choices 'layer*' "
    "--maximize test_acc --minimize macs --reference 80,max",
)(bench_controllers)
bench_app.command(
    "operators",
    epilog="Example: nas bench operators --data cifar10 --resolution 32 --time 2h\n\n"
    "The same command continues an interrupted comparison.",
)(bench_operators)
bench_app.command(
    "methods",
    epilog="Example: nas bench methods --data cifar10 --methods sandwich,delayed:largest_share=0.3 "
    "--budget 20MMACs --time 2h\n\n"
    "The same command continues an interrupted comparison.",
)(bench_methods)
