"""Terms that any variant's losses can have."""

from lightning_gans.regularizers.adaptive_augmentation import AdaptiveAugmentation as AdaptiveAugmentation
from lightning_gans.regularizers.consistency import ConsistencyRegularization as ConsistencyRegularization
from lightning_gans.regularizers.feature_matching import FeatureMatching as FeatureMatching
from lightning_gans.regularizers.historical_averaging import HistoricalAveraging as HistoricalAveraging
from lightning_gans.regularizers.lecam import LeCam as LeCam
from lightning_gans.regularizers.orthogonal import OrthogonalRegularization as OrthogonalRegularization
