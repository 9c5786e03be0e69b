from .files import ImageReadError as ImageReadError
from .files import ImageWriteError as ImageWriteError
from .files import check_output as check_output
from .files import load as load
from .files import save as save
from .formats import FORMATS as FORMATS
from .formats import Metadata as Metadata
from .formats import Picture as Picture
