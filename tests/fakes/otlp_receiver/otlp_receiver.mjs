// A collector that keeps what it gets: OTLP/gRPC's trace service, read with the proto files of this repository.
//
//   node tests/fakes/otlp_receiver/otlp_receiver.mjs --port 4317     prints {"port":N}, then each span as a line of JSON
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const here = path.dirname(fileURLToPath(import.meta.url));
const proto = path.resolve(here, '../../../proto');

const valueOf = (value) => (value.value === 'array_value' ? value.array_value.values.map(valueOf) : value[value.value]);
const attributesOf = (attributes) => Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]));

// One span, with ids in hexadecimal and its resource's service.name as `service`.
function plain(span, resource) {
  return {
    service: resource['service.name'],
    version: resource['service.version'],
    name: span.name,
    kind: span.kind.replace('SPAN_KIND_', ''),
    traceId: span.trace_id.toString('hex'),
    spanId: span.span_id.toString('hex'),
    parentSpanId: span.parent_span_id.toString('hex'),
    ms: Number(BigInt(span.end_time_unix_nano) - BigInt(span.start_time_unix_nano)) / 1e6,
    attributes: attributesOf(span.attributes),
    status: (span.status?.code ?? 'STATUS_CODE_UNSET').replace('STATUS_CODE_', ''),
    error: span.status?.message ?? '',
  };
}

export class OtlpReceiver {
  spans = [];
  onSpan = () => {};

  // Port 0: any free one.
  static async start(port = 0) {
    const receiver = new OtlpReceiver();
    const definition = protoLoader.loadSync('opentelemetry/proto/collector/trace/v1/trace_service.proto', {
      includeDirs: [proto],
      keepCase: true,
      longs: String,
      enums: String,
      defaults: true,
      oneofs: true,
    });
    const { TraceService } = grpc.loadPackageDefinition(definition).opentelemetry.proto.collector.trace.v1;
    receiver.server = new grpc.Server();
    receiver.server.addService(TraceService.service, { Export: (call, answer) => receiver.#take(call.request, answer) });
    receiver.port = await new Promise((resolve, reject) =>
      receiver.server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    return receiver;
  }

  get endpoint() {
    return `127.0.0.1:${this.port}`;
  }

  #take(request, answer) {
    for (const { resource, scope_spans } of request.resource_spans) {
      const names = attributesOf(resource.attributes);
      for (const span of scope_spans.flatMap(({ spans }) => spans)) {
        const taken = plain(span, names);
        this.spans.push(taken);
        this.onSpan(taken);
      }
    }
    answer(null, {});
  }

  stop() {
    this.server.forceShutdown();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--port');
  const receiver = await OtlpReceiver.start(at < 0 ? 0 : Number(process.argv[at + 1]));
  console.log(JSON.stringify({ port: receiver.port }));
  receiver.onSpan = (span) => console.log(JSON.stringify(span));
}
