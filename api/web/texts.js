// Every text of the page, in Traditional Chinese and English.

export const TEXTS = {
  "zh-TW": {
    title: "WebSocket 測試頁",
    connection: "連線",
    token: "權杖（JWT）",
    tokenHint: "貼上權杖，例如 tracker token --sub D1 --role driver 的輸出",
    noToken: "沒有權杖：連線後請在十秒內傳送 auth。",
    badToken: "這不是 JWT。",
    claims: "{role} · {sub} · 到期 {exp}",
    expired: "{role} · {sub} · 已於 {exp} 到期",
    endpoint: "端點",
    connect: "連線",
    disconnect: "中斷連線",
    channels: "已訂閱的頻道",
    noChannels: "尚未訂閱。請傳送 subscribe。",
    leave: "取消訂閱 {channel}",
    send: "傳送",
    message: "訊息類型",
    json: "內容（可編輯）",
    sendButton: "傳送",
    notJSON: "這不是有效的 JSON；伺服器會回覆錯誤。",
    map: "即時地圖",
    mapSummary: "{n} 位司機，{silent} 位沒有新訊號",
    mapEmpty: "訂閱 drivers 或 order:訂單編號 後，司機會出現在這裡",
    table: "司機列表",
    driver: "司機",
    status: "狀態",
    course: "方向",
    age: "最後定位",
    position: "位置",
    seconds: "{n} 秒前",
    minutes: "{n} 分鐘前",
    live: "即時",
    late: "延遲",
    silent: "無訊號",
    deliveries: "顧客看到的配送通知",
    noDeliveries: "還沒有配送通知。",
    eta: "預計 {eta} 到達（{low} 至 {high}）",
    log: "訊息紀錄",
    pause: "暫停",
    resume: "繼續（{n} 則新訊息）",
    clear: "清除",
    types: "依類型篩選",
    noEntries: "連線後，收送的每則訊息都會列在這裡。",
    idle: "未連線",
    connecting: "連線中…",
    waiting: "等待 auth",
    connected: "已連線",
    refused: "已斷線（{code}）",
    reconnecting: "重新連線中…",
  },
  en: {
    title: "WebSocket test page",
    connection: "Connection",
    token: "Token (JWT)",
    tokenHint: "Paste a token, such as tracker token --sub D1 --role driver prints",
    noToken: "No token: send auth within ten seconds of connecting.",
    badToken: "This is not a JWT.",
    claims: "{role} · {sub} · until {exp}",
    expired: "{role} · {sub} · expired at {exp}",
    endpoint: "Endpoint",
    connect: "Connect",
    disconnect: "Disconnect",
    channels: "Joined channels",
    noChannels: "None yet. Send a subscribe.",
    leave: "Leave {channel}",
    send: "Send",
    message: "Message type",
    json: "Content (edit as you like)",
    sendButton: "Send",
    notJSON: "This is not valid JSON; the server will answer with an error.",
    map: "Live map",
    mapSummary: "drivers: {n}, without news: {silent}",
    mapEmpty: "Subscribe to drivers, or to order:ID, and drivers appear here",
    table: "Drivers",
    driver: "Driver",
    status: "Status",
    course: "Course",
    age: "Last fix",
    position: "Position",
    seconds: "{n} s ago",
    minutes: "{n} min ago",
    live: "live",
    late: "late",
    silent: "silent",
    deliveries: "What customers are told",
    noDeliveries: "No delivery updates yet.",
    eta: "Expected at {eta} ({low} to {high})",
    log: "Messages",
    pause: "Pause",
    resume: "Resume ({n} new)",
    clear: "Clear",
    types: "Filter by type",
    noEntries: "Once connected, every message sent and received is listed here.",
    idle: "Not connected",
    connecting: "Connecting…",
    waiting: "Waiting for auth",
    connected: "Connected",
    refused: "Disconnected ({code})",
    reconnecting: "Connecting again…",
  },
};

export const KINDS = {
  "zh-TW": {
    heartbeat: "表示仍在線上；伺服器會回覆 heartbeat。",
    subscribe: "加入頻道：orders、drivers、routes、customers、system、order:…、driver:…、geofence:…、user:…",
    unsubscribe: "離開頻道。",
    location_update: "司機的一筆定位；帶有 seq 時會收到 location.ack。",
    location_batch: "司機的多筆定位；存妥後收到 location.ack。",
    order_update: "變更訂單狀態。",
    "delivery.confirmed": "貨物已交付。",
    ack: "確認此頻道至 seq 為止的訊息都已收到。",
    auth: "提交權杖，或在到期前換新。",
  },
  en: {
    heartbeat: "A sign of life; the server answers with heartbeat.",
    subscribe: "Join a channel: orders, drivers, routes, customers, system, order:…, driver:…, geofence:…, user:…",
    unsubscribe: "Leave a channel.",
    location_update: "One fix of this driver; with a seq it is answered by location.ack.",
    location_batch: "Several fixes of this driver; location.ack comes when they are stored.",
    order_update: "Move an order to another status.",
    "delivery.confirmed": "The goods were handed over.",
    ack: "Everything on this channel up to seq has arrived.",
    auth: "Present a token, or a newer one before it expires.",
  },
};

export const CLOSINGS = {
  "zh-TW": {
    1000: "正常結束。",
    1001: "伺服器或頁面已離開。",
    1006: "連線中斷，或伺服器沒有回應。可以重試。",
    1009: "訊息超過 64 KiB；請分成較小的批次。",
    1011: "伺服器內部錯誤。可以重試。",
    1012: "伺服器正在重新啟動，請稍後重新連線。",
    4400: "格式錯誤的訊息太多。",
    4401: "權杖無效或已到期；請取得新的權杖，不要自動重試。",
    4403: "此角色或來源不得使用這個端點；不要自動重試。",
    4408: "60 秒內沒有任何動靜。",
    4409: "同一使用者的連線超過五個，最舊的已關閉；不要自動重試。",
    4413: "接收太慢。重新連線後可以接續。",
    4429: "傳送太頻繁；請放慢後再連線。",
  },
  en: {
    1000: "Ended normally.",
    1001: "The server or the page went away.",
    1006: "The connection was lost, or the server did not answer. Try again.",
    1009: "The message was larger than 64 KiB; send smaller batches.",
    1011: "The server failed. Try again.",
    1012: "The server is restarting; connect again in a moment.",
    4400: "Too many malformed messages.",
    4401: "The token is invalid or has expired; get a new one, do not retry by itself.",
    4403: "This role or origin may not use this endpoint; do not retry by itself.",
    4408: "No sign of life for 60 s.",
    4409: "More than five connections of this user: the oldest was closed; do not retry by itself.",
    4413: "Reading was too slow. Connect again to resume.",
    4429: "Too many messages; slow down and connect again.",
  },
};

let language = navigator.language.startsWith("zh") ? "zh-TW" : "en";

export const currentLanguage = () => language;
export const closing = (code) => CLOSINGS[language][code] ?? "";
export const kindHint = (kind) => KINDS[language][kind];

/** The text for `key`, with {names} filled in from `values`. */
export function text(key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Switch the language and fill in every element that has a data-text, data-placeholder or data-label. */
export function setLanguage(chosen) {
  language = chosen;
  document.documentElement.lang = language;
  document.title = `Tracker · ${text("title")}`;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of document.querySelectorAll("[data-placeholder]")) element.placeholder = text(element.dataset.placeholder);
  for (const element of document.querySelectorAll("[data-label]")) element.ariaLabel = text(element.dataset.label);
}
