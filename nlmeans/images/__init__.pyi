from .errors import ImageReadError as ImageReadError
from .errors import ImageWriteError as ImageWriteError
from .files import check_output as check_output
from .files import load as load
from .files import save as save
from .formats import FORMATS as FORMATS
from .picture import Metadata as Metadata
from .picture import Picture as Picture
