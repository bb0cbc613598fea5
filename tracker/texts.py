"""What customers read, in Traditional Chinese and English."""

from typing import Literal, get_args

from tracker.records import DeliveryStatus

Language = Literal["zh-TW", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

DELIVERY: dict[Language, dict[DeliveryStatus, str]] = {
    "zh-TW": {
        "assigned": "您的訂單已指派司機",
        "en_route": "司機已出發，正在配送途中",
        "approaching": "司機即將到達，請準備接收瓦斯",
        "driver_arrived": "司機已到達，請準備接收瓦斯",
        "departed": "司機已離開",
        "delivered": "瓦斯已送達，謝謝您",
        "failed": "配送未完成，我們將與您聯絡",
        "eta_changed": "預計到達時間已更新",
    },
    "en": {
        "assigned": "A driver has been assigned to your order",
        "en_route": "Your driver is on the way",
        "approaching": "Your driver is almost there; please get ready to receive your gas",
        "driver_arrived": "Your driver has arrived; please get ready to receive your gas",
        "departed": "Your driver has left",
        "delivered": "Your gas has been delivered, thank you",
        "failed": "The delivery could not be completed; we will contact you",
        "eta_changed": "The expected time of arrival has changed",
    },
}

ETA_WITHDRAWN: dict[Language, str] = {
    "zh-TW": "暫時無法預估到達時間",
    "en": "The time of arrival cannot be predicted for the moment",
}


def language_of(tag: str | None, default: Language) -> Language:
    """The language here that a tag (RFC 5646) asks for, by its first part: `en-GB` is `en`, `zh` is `zh-TW`."""
    asked = (tag or "").lower().partition("-")[0]
    return next((language for language in LANGUAGES if language.lower().partition("-")[0] == asked), default)
