"""Whether the texts of a figure can be read: none cut off, none on top of another."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def ticks_in_view(axis):
    """Labels of the ticks of an axis that are drawn."""
    low, high = sorted(axis.get_view_interval())
    margin = 1e-9 * (high - low)
    for tick in axis.get_major_ticks():
        if low - margin <= tick.get_loc() <= high + margin:
            yield from (tick.label1, tick.label2)


def texts(figure):
    """All texts of a figure that show something."""
    ticks = {text for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for text in axis.findobj(Text)}
    labels = {axis.label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)}
    drawn = {text for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for text in ticks_in_view(axis)}
    every = set(figure.findobj(Text)) - (ticks - labels - drawn)
    return [text for text in every if text.get_visible() and text.get_text().strip()]


def faults(figure, tolerance=1.0):
    """Texts beyond the edge of the figure and pairs that overlap by more than `tolerance` pixels each way."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts(figure)]
    width, height = canvas.get_width_height()
    found = [
        name
        for name, box in boxes
        if box.x0 < -tolerance or box.y0 < -tolerance or box.x1 > width + tolerance or box.y1 > height + tolerance
    ]
    for (name, box), (other_name, other) in combinations(boxes, 2):
        across = min(box.x1, other.x1) - max(box.x0, other.x0)
        along = min(box.y1, other.y1) - max(box.y0, other.y0)
        if across > tolerance and along > tolerance:
            found.append((name, other_name))
    return found
