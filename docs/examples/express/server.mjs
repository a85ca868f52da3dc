// PORT=8003 INTROSPECTION_URL=… INTROSPECTION_SECRET=… node server.mjs   (npm install express)
import express from "express";
import { tokenGuard } from "./require-token.mjs";

const requireToken = tokenGuard({
  url: process.env.INTROSPECTION_URL,
  clientId: "orders-api",
  clientSecret: process.env.INTROSPECTION_SECRET,
});

const app = express();
app.get("/items", requireToken(), (req, res) => res.json({ of: req.token.sub }));
app.post("/items", requireToken("write:items"), (req, res) => res.status(201).end());

const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () =>
  console.log(JSON.stringify({ ready: true, port: server.address().port })),
);
