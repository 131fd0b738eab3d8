import asyncio, time
import psycopg


def test_x(wb, ann_url):
    p = wb.prompts.save("tone", "Tone of {{ text }}")
    s = p.stream(text="a b c")
    assert list(s) == ["Tone", " of", " a", " b", " c"]
    print(s.result, repr(s))

    async def main():
        s = p.astream(text="x y")
        out = [x async for x in s]
        return out, s.result

    print(asyncio.run(main()))
    s = p.stream(text="a b c d e f g", model="fake/slow")
    for piece in s:
        if len(s.text) > 10:
            break
    with psycopg.connect(ann_url.reveal()) as c:
        print(
            c.execute("select status, answer, error_code from wb.executions order by created_at").fetchall()
        )
    chat = wb.chat(system="You are terse.")
    print(chat.say("hello"))
    print(chat.say("again"))
    print(chat.history)
    print(chat)
    print(wb.chats.list().T)
    c2 = wb.chats.get("hello")
    assert c2.history == chat.history
    assert [m.execution_id for m in c2.history] == [m.execution_id for m in chat.history]
    print(c2.frame().T)
    t = wb.chat(
        model="fake/tools",
        options={
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "get_weather",
                        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                    },
                }
            ]
        },
    )
    r = t.say("get_weather in Berlin")
    print(repr(r), r.tool_calls)
    r = t.reply(r.tool_calls[0].id, {"c": 21})
    print(r)
    assert wb.chats.get(t.id).history == t.history
    print(t)
