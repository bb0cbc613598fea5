"""Settings of the engine: default, unit and meaning at each field."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Frozen; every field is also a `--set key=value` of `tracker replay` and a `TRACKER_*` variable of the server."""

    # The gate
    future_limit_s: float = 60.0
    """A fix_time further ahead of its receipt than this is refused."""
    age_limit_s: float = 10 * 365.25 * 86400.0
    """A fix_time older than its receipt by more than this is refused."""
    clock_limit_s: float = 300.0
    """A phone whose clock is behind by more than this, as `sent_at` shows, is told to set it."""
    coarse_accuracy_m: float = 100.0
    """A fix less accurate than this, or from the network, is set aside while a much better one is seconds old."""
    coarse_within_s: float = 20.0
    """So many seconds."""
    refuse_mock: bool = False
    """Refuse locations that an app made up; else they are kept, and flagged."""

    # The live filter
    default_accuracy_m: float = 3.5
    """Accuracy assumed where a device reports none."""
    min_accuracy_m: float = 2.0
    """No device is believed to be better than this."""
    outlier_share: float = 0.01
    """Share of fixes expected to be outliers: the higher, the sooner a fix off the track is one."""
    outlier_patience: int = 3
    """So many outliers in a row restart the filter where they are."""
    filter_reset_s: float = 120.0
    """After a gap this long the filter starts afresh."""
    still_speed_mps: float = 0.5
    """Slower than this is standing still."""

    # Geofences
    exit_margin_m: float = 10.0
    """A fence is left only this far outside its boundary, and further when the position is uncertain."""
    exit_margin_sigmas: float = 1.0
    """Multiple of the position's sigma added to the exit margin."""
    pass_within_s: float = 300.0
    """A pass through a fence between two positions is only believed when they are closer in time than this."""
    dwell_after_s: float = 120.0
    """Time inside a fence before `dwell`."""

    # Stays and trips
    stay_after_s: float = 60.0
    """Staying for so long is a stay; 60 to 120 s for deliveries, 30 s for halts in traffic."""
    stay_radius_m: float = 60.0
    """A stay keeps within so many metres of its mean place; 4 m for halts in traffic. More when accuracy is poor."""
    stay_merge_s: float = 60.0
    """Staying again at the same place after so short an absence is the same stay."""
    moving_mps: float = 0.8
    """Getting on faster than this is moving."""

    # Deliveries
    arrival_radius_m: float = 50.0
    """Radius of a destination given as a point without one."""
    arrival_confidence: float = 0.9
    """An arrival is told when it is as probable as this (`tracker/arrivals.py` says how that is reckoned)."""
    arrival_speed_mps: float = 2.0
    """Faster than this is not standing."""
    arrival_dwell_s: float = 300.0
    """Inside the destination for this long is an arrival in any case."""
    approaching_m: float = 500.0
    """Closer to the destination than this is approaching."""
    approaching_s: float = 180.0
    """A predicted arrival sooner than this is approaching."""
    departed_margin_m: float = 30.0
    """An arrived driver this far outside the destination has departed."""
    stale_after_s: float = 300.0
    """A status this far behind the driver's newest fix or its receipt is recorded as late, not told the customer."""
    retell_after_s: float = 300.0
    """What late fixes change is told when their driver has gone on for so long, and things have settled."""
    visible_m: float = 3000.0
    """A customer also sees a driver closer than this when another stop comes first."""

    # ETA
    eta_interval_s: float = 10.0
    """An ETA is predicted again so often, in the driver's time."""
    service_s: float = 180.0
    """Time a stop takes, assumed for the stops before an order's own."""
    default_speed_mps: float = 6.0
    """Speed over the route assumed before anything is learned (about 22 km/h)."""
    circuity: float = 1.35
    """Road distance over straight-line distance where no path is known."""
    eta_change_s: float = 180.0
    """An ETA that moved by less than this is not announced again."""
    eta_change_share: float = 0.25
    """An ETA that moved by less than this share of the time left is not announced again."""
    eta_announce_every_s: float = 60.0
    """An ETA is not announced again sooner than this, in the driver's time."""

    # Liveness
    late_after_s: float = 60.0
    """A driver without a fix for this long is `late`."""
    silent_after_s: float = 300.0
    """A driver without a fix for this long is `silent`."""
