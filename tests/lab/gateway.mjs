// A gateway of a few lines: its turn has called the model once and waits for a tool that never ends.
import { trace, context } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "gateway-js" }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(), { scheduledDelayMillis: 200 })],
});
const tracer = provider.getTracer("gateway");
const within = (span) => trace.setSpan(context.active(), span);

const turn = tracer.startSpan("invoke_agent", {
  attributes: { "gen_ai.operation.name": "invoke_agent" },
});
const chat = tracer.startSpan(
  "chat large",
  {
    kind: 2,
    attributes: {
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": "large",
      "gen_ai.conversation.id": "chat-17",
      "gen_ai.input.messages": JSON.stringify([{ role: "user", content: "Please call my landlord" }]),
    },
  },
  within(turn),
);
chat.end();
const tool = tracer.startSpan(
  "execute_tool shell",
  { attributes: { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "shell" } },
  within(turn),
);
tracer.startSpan("connect", {}, within(tool)).end();
await provider.forceFlush();
console.log("hangs");
setInterval(() => {}, 1000);
