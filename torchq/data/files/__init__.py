"""Tables in files: one format a file, all answering with a :class:`Frame`."""

from torchq.data.files.frame import Frame as Frame
from torchq.data.files.frame import to_table as to_table
from torchq.data.files.opening import SUFFIXES as SUFFIXES
from torchq.data.files.opening import open_frame as open_frame
