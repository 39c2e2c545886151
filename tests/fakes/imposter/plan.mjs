// What the imposter says to a request, in words that belong to no API: a plan is the steps of the answer, a token each, and how
// it ends. A step is {text}, {reasoning}, {call: {index, id, name}} (a tool call begins) or {call: {index, arguments}} (a piece).
//
// The dialects read a request into the conversation that planOf takes:
//   {text, images, answers, tools: [{name, schema}], choice, format, stop, limit}
// text and images (their number) are the last user message's; answers are the texts of the tools' answers, where the request ends
// with some; choice is "auto", "none", "required" or a tool's name; format is undefined, {} (any JSON object) or {schema}.

// The tokens of a text, here: its words, each with the spaces before it.
export const cut = (text) => text.match(/\s*\S+|\s+$/g) ?? [];

// A small value that fits a JSON Schema. `root` is where its $refs point into.
export function sampleOf(schema, name = 'text', root = schema) {
  if (schema === undefined || schema === true || schema === null) return name;
  if (schema.$ref !== undefined) return sampleOf(resolved(schema.$ref, root), name, root);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined) return sampleOf(either[0], name, root);
  const type = [schema.type ?? (schema.properties ? 'object' : 'string')].flat()[0];
  switch (type) {
    case 'object': {
      const members = Object.entries(schema.properties ?? {});
      return Object.fromEntries(members.map(([key, value]) => [key, sampleOf(value, key, root)]));
    }
    case 'array':
      return Array.from({ length: Math.max(1, schema.minItems ?? 1) }, () => sampleOf(schema.items, name, root));
    case 'integer':
      return schema.minimum ?? 1;
    case 'number':
      return schema.minimum ?? 1.5;
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return `a ${name}`;
  }
}

const resolved = (ref, root) =>
  ref.replace(/^#\/?/, '').split('/').filter(Boolean).reduce((node, key) => node?.[key.replace(/~1/g, '/').replace(/~0/g, '~')], root);

function callsWanted({ text, answers, tools, choice }, scenario) {
  if (tools.length === 0 || choice === 'none' || answers.length > 0) return 0;
  const asked = scenario.toolCall || choice !== 'auto' || /use the tool/i.test(text);
  return asked ? scenario.toolCalls : 0;
}

function textSaid({ text, images, answers, format }, scenario, calls) {
  if (scenario.tokens > 0) return Array.from({ length: scenario.tokens }, (_, i) => `token${i}`).join(' ');
  if (scenario.answer !== '') return scenario.answer;
  if (calls > 0) return '';
  const echo = answers.length > 0 ? `The tool said: ${answers.join(', ')}` : `You said: ${text}`;
  // A line a token.
  if (format) return JSON.stringify(format.schema ? sampleOf(format.schema) : { answer: echo }, null, 1);
  return images > 0 ? `I see ${images} image(s). ${echo}` : echo;
}

function callSteps(index, tool, { toolPieceBytes }) {
  const said = JSON.stringify(sampleOf(tool.schema ?? { type: 'object' }));
  const letters = Array.from(said); // never half a character
  const size = Math.max(1, toolPieceBytes);
  const steps = [{ call: { index, name: tool.name } }];
  for (let at = 0; at < letters.length; at += size) {
    steps.push({ call: { index, arguments: letters.slice(at, at + size).join('') } });
  }
  return steps;
}

// {steps, finish, stopped}: finish as OpenAI calls it, stopped: the stop sequence that ended it, if one did.
export function planOf(conversation, scenario) {
  const { tools, choice, stop, limit } = conversation;
  const calls = callsWanted(conversation, scenario);
  let text = textSaid(conversation, scenario, calls);
  const stops = stop.map((sequence) => [text.indexOf(sequence), sequence]).filter(([at]) => at >= 0).sort(([a], [b]) => a - b);
  const [end, stopped] = stops[0] ?? [text.length, undefined];
  text = text.slice(0, end);
  const offered = tools.filter(({ name }) => name === choice);
  const callable = offered.length > 0 ? offered : tools;
  const all = [
    ...cut(scenario.reasoning).map((reasoning) => ({ reasoning })),
    ...cut(text).map((piece) => ({ text: piece })),
    ...Array.from({ length: stopped === undefined ? calls : 0 }, (_, i) => callSteps(i, callable[i % callable.length], scenario)).flat(),
  ];
  const steps = all.slice(0, limit);
  if (steps.length < all.length) return { steps, finish: 'length' };
  const called = steps.some(({ call }) => call);
  return { steps, finish: called ? 'tool_calls' : scenario.finishReason, stopped };
}

// A whole answer of the steps: {text, reasoning, calls: [{index, name, arguments}]}.
export function assembled(steps) {
  const whole = { text: '', reasoning: '', calls: [] };
  for (const { text = '', reasoning = '', call } of steps) {
    whole.text += text;
    whole.reasoning += reasoning;
    if (call?.name !== undefined) whole.calls.push({ index: call.index, name: call.name, arguments: '' });
    else if (call) whole.calls[call.index].arguments += call.arguments;
  }
  return whole;
}
