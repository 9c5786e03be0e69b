from .find import noise_of as noise_of
from .jpeg import sigma_before_jpeg as sigma_before_jpeg
from .kind import estimate_noise as estimate_noise
from .level import estimate_sigma as estimate_sigma
from .level import estimate_stack_sigma as estimate_stack_sigma
from .model import Noise as Noise
from .trust import trust_in as trust_in
