import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";
import { VitePWA } from "vite-plugin-pwa";

const BFF = "http://127.0.0.1:8000";

/** `/auth/client.js` is the BFF's, in development and after the build: leave the import alone. */
const bffClient: Plugin = {
  name: "bff-client",
  enforce: "pre",
  resolveId: (id) => (id === "/auth/client.js" ? { id, external: true } : null),
};

const serviceWorker = VitePWA({
  registerType: "autoUpdate",
  manifest: {
    name: "Orders",
    short_name: "Orders",
    theme_color: "#1d4ed8",
    icons: [{ src: "/icon.svg", sizes: "any", type: "image/svg+xml" }],
  },
  workbox: {
    globPatterns: ["**/*.{js,css,html,svg}"],
    // A sign-in is a page load of the BFF's, never one of the cached app.
    navigateFallbackDenylist: [/^\/(auth|api)(\/|$)/],
    // The one file under /auth that the page needs offline; nothing of a user is in it.
    runtimeCaching: [
      { urlPattern: ({ url }) => url.pathname === "/auth/client.js", handler: "NetworkFirst" },
    ],
  },
});

export default defineConfig({
  plugins: [bffClient, react(), serviceWorker],
  build: { assetsInlineLimit: 0 },
  server: {
    port: 5173,
    strictPort: true,
    proxy: { "^/(auth|api)(/|$|\\?)": { target: BFF, changeOrigin: false } },
  },
});
