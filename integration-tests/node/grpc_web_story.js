// Google's grpc-web client, as it is published, with the XMLHttpRequest that a browser would bring: calls a method as its
// arguments say, and prints what came as JSON. Messages go as the bytes they are.
global.XMLHttpRequest = require("xhr2");
const { GrpcWebClientBase, MethodDescriptor, MethodType } = require("grpc-web");

const [url, path, key, format] = process.argv.slice(2);
const bytes = Buffer.from(process.env.MESSAGE || "", "base64");
const method = new MethodDescriptor(path, MethodType.UNARY, Object, Object, () => new Uint8Array(bytes), (answer) => answer);
const metadata = key ? { authorization: `Bearer ${key}` } : {};

new GrpcWebClientBase({ format }).rpcCall(url + path, {}, metadata, method, (fault, answer) => {
  const told = fault
    ? { code: fault.code, message: fault.message, metadata: fault.metadata }
    : { answer: Buffer.from(answer).toString("base64") };
  console.log(JSON.stringify(told));
});
