#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gateway/dialects/anthropic_answer.h"
#include "tests/unit/gateway/dialects/anthropic_fixture.h"

namespace aibackend::gateway {
namespace {

using nlohmann::json;
using Answer = FakeExchange::Answer;
using Ending = FakeExchange::Ending;
using Stream = FakeBackend::Stream;

// The events of a stream, each of which must be named as its data says.
std::vector<json> EventsOf(const std::string& body) {
  std::vector<json> events;
  for (const absl::string_view event : absl::StrSplit(body, "\n\n", absl::SkipEmpty())) {
    const std::vector<std::string> lines = absl::StrSplit(event, '\n');
    EXPECT_EQ(lines.size(), 2u) << event;
    if (lines.size() != 2) continue;
    events.push_back(json::parse(lines[1].substr(std::string("data: ").size())));
    EXPECT_EQ(lines[0], "event: " + events.back()["type"].get<std::string>());
  }
  return events;
}

// "content_block_delta 1" and so on: what came, and for which block.
std::string Outline(const std::vector<json>& events) {
  std::vector<std::string> names;
  for (const json& event : events) {
    names.push_back(event["type"]);
    if (event.contains("index")) names.back() += " " + event["index"].dump();
  }
  return absl::StrJoin(names, ", ");
}

void SendReasoning(Stream* stream, const std::string& text) {
  v1::ChatStreamEvent event;
  event.set_reasoning(text);
  stream->Write(event);
}

void SendCall(Stream* stream, int index, const std::string& id, const std::string& arguments) {
  v1::ChatStreamEvent event;
  event.mutable_tool_call()->set_index(index);
  event.mutable_tool_call()->set_id(id);
  if (!id.empty()) event.mutable_tool_call()->set_name("f");
  event.mutable_tool_call()->set_arguments(arguments);
  stream->Write(event);
}

class AnthropicStreamTest : public AnthropicTest {
 protected:
  Answer StreamOf(std::function<grpc::Status(Stream*)> body) {
    backend_.on_stream = [body = std::move(body)](grpc::ServerContext*, const v1::ChatRequest&,
                                                  Stream* stream) { return body(stream); };
    json request = Hello();
    request["stream"] = true;
    return Ask(request);
  }
};

TEST_F(AnthropicStreamTest, TextIsOneBlockOfDeltas) {
  const Answer answer = StreamOf([](Stream* stream) {
    FakeBackend::SendDelta(stream, "Hel");
    FakeBackend::SendDelta(stream, "");
    FakeBackend::SendDelta(stream, "lo \"you\"\n");
    v1::ChatStreamEvent event;
    event.mutable_done()->set_finish_reason("length");
    event.mutable_done()->mutable_usage()->set_prompt_tokens(12);
    event.mutable_done()->mutable_usage()->set_cached_tokens(2);
    event.mutable_done()->mutable_usage()->set_completion_tokens(7);
    stream->Write(event);
    return grpc::Status::OK;
  });
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.ending, Ending::kEnded);
  EXPECT_EQ(answer.Header("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(answer.Header("request-id"), "req_1");
  const auto events = EventsOf(answer.body);
  const json expected = json::parse(R"([
      {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",
       "model":"m","content":[],"stop_reason":null,"stop_sequence":null,
       "usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,
                "output_tokens":0}}},
      {"type":"content_block_start","index":0,
       "content_block":{"type":"text","text":"","citations":null}},
      {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}},
      {"type":"content_block_delta","index":0,
       "delta":{"type":"text_delta","text":"lo \"you\"\n"}},
      {"type":"content_block_stop","index":0},
      {"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},
       "usage":{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":2,
                "output_tokens":7}},
      {"type":"message_stop"}])");
  EXPECT_EQ(json(events), expected);
}

TEST_F(AnthropicStreamTest, ThinkingTextAndEachToolCallAreBlocksOfTheirOwn) {
  const Answer answer = StreamOf([](Stream* stream) {
    SendReasoning(stream, "h");
    SendReasoning(stream, "m");
    FakeBackend::SendDelta(stream, "I look.");
    SendCall(stream, 0, "t1", "");
    SendCall(stream, 0, "", R"({"a":)");
    SendCall(stream, 0, "", "1}");
    SendCall(stream, 1, "t2", "{}");
    v1::ChatStreamEvent event;
    event.mutable_done()->set_finish_reason("tool_calls");
    stream->Write(event);
    return grpc::Status::OK;
  });
  const auto events = EventsOf(answer.body);
  ASSERT_EQ(Outline(events),
            "message_start, "
            "content_block_start 0, content_block_delta 0, content_block_delta 0, "
            "content_block_stop 0, "
            "content_block_start 1, content_block_delta 1, content_block_stop 1, "
            "content_block_start 2, content_block_delta 2, content_block_delta 2, "
            "content_block_stop 2, "
            "content_block_start 3, content_block_delta 3, content_block_stop 3, "
            "message_delta, message_stop");
  EXPECT_EQ(events[1]["content_block"]["type"], "thinking");
  EXPECT_EQ(events[2]["delta"], json::parse(R"({"type":"thinking_delta","thinking":"h"})"));
  EXPECT_EQ(events[8]["content_block"],
            json::parse(R"({"type":"tool_use","id":"t1","name":"f","input":{}})"));
  EXPECT_EQ(events[9]["delta"],
            json::parse(R"({"type":"input_json_delta","partial_json":"{\"a\":"})"));
  EXPECT_EQ(events[15]["delta"]["stop_reason"], "tool_use");
}

TEST_F(AnthropicStreamTest, ALatePieceOfAToolCallGoesToItsBlock) {
  const Answer answer = StreamOf([](Stream* stream) {
    SendCall(stream, 0, "t1", "{");
    SendCall(stream, 1, "t2", "{}");
    SendCall(stream, 0, "", "}");
    FakeBackend::SendDone(stream);
    return grpc::Status::OK;
  });
  const auto events = EventsOf(answer.body);
  EXPECT_EQ(Outline(events),
            "message_start, content_block_start 0, content_block_delta 0, content_block_stop 0, "
            "content_block_start 1, content_block_delta 1, content_block_delta 0, "
            "content_block_stop 1, message_delta, message_stop");
  EXPECT_EQ(events[8]["delta"]["stop_reason"], "tool_use");
}

TEST_F(AnthropicStreamTest, AnAnswerOfNothingIsStillAMessage) {
  const Answer answer = StreamOf([](Stream* stream) {
    FakeBackend::SendDone(stream);
    return grpc::Status::OK;
  });
  EXPECT_EQ(Outline(EventsOf(answer.body)), "message_start, message_delta, message_stop");
}

TEST_F(AnthropicStreamTest, CitationsComeWithTheEnd) {
  const Answer answer = StreamOf([](Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    v1::ChatStreamEvent event;
    event.mutable_done()->add_citations()->set_document_id("d1");
    stream->Write(event);
    return grpc::Status::OK;
  });
  EXPECT_EQ(EventsOf(answer.body)[4]["citations"][0]["document_id"], "d1");
}

TEST_F(AnthropicStreamTest, AStreamThatBreaksEndsWithAnErrorAndNothingElse) {
  const Answer answer = StreamOf([](Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    return ErrorStatus(grpc::StatusCode::UNAVAILABLE, "UPSTREAM_TRUNCATED", "cut");
  });
  EXPECT_EQ(answer.ending, Ending::kEnded);
  const auto events = EventsOf(answer.body);
  EXPECT_EQ(Outline(events), "message_start, content_block_start 0, content_block_delta 0, error");
  EXPECT_EQ(events.back()["error"], json::parse(R"({"type":"api_error","message":"cut"})"));
}

TEST_F(AnthropicStreamTest, WithoutDoneOrWithAnErrorAfterItNoStreamLooksComplete) {
  const Answer no_done = StreamOf([](Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    return grpc::Status::OK;
  });
  EXPECT_EQ(EventsOf(no_done.body).back()["error"]["type"], "overloaded_error");
  EXPECT_EQ(no_done.body.find("message_stop"), std::string::npos);

  exchange_ = std::make_shared<FakeExchange>();
  const Answer failed = StreamOf([](Stream* stream) {
    FakeBackend::SendDelta(stream, "a");
    FakeBackend::SendDone(stream);
    return ErrorStatus(grpc::StatusCode::INTERNAL, "INTERNAL", "the ledger");
  });
  EXPECT_EQ(EventsOf(failed.body).back()["type"], "error");
  EXPECT_EQ(failed.body.find("message_stop"), std::string::npos);
}

TEST_F(AnthropicStreamTest, TheHeartbeatIsAPing) {
  const auto stream = MakeAnthropicStream({"req_1", "m", {}});
  const auto events = EventsOf(std::string(stream->Heartbeat()));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0]["type"], "ping");
}

}  // namespace
}  // namespace aibackend::gateway
