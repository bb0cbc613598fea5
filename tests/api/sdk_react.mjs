export const { useEffect, useMemo, useRef, useState } = globalThis.React;
