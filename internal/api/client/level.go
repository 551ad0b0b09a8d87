package client

import (
	"net/http"
	"strconv"

	"github.com/nicferry/nicferry/internal/api"
)

// This file is the one place that knows what an older controller does not: it
// refuses a body with a field that is new to it. Each answer says what the one
// that gave it knows, since a controller may be replaced by one of another release
// at any time.

// learn notes what the controller knows, by the header of an answer of its. One of
// a release before there were levels says nothing.
func (c *Client) learn(header http.Header) {
	level, err := strconv.ParseInt(header.Get(api.LevelHeader), 10, 32)
	if err != nil {
		level = 0
	}
	c.level.Store(level)
}

// sendFrom sends what a controller of the level knows, and, if it turns out to be
// an older one that refuses it, what that one knows.
func (c *Client) sendFrom(level int64, send func(level int64) error) error {
	err := send(level)
	if known := c.level.Load(); api.IsInvalid(err) && known < level {
		return send(known)
	}
	return err
}

// forLevel is a body without what a controller of the level does not know.
func forLevel[B any](level int64, body B) B {
	for since, leaveOut := range news {
		if level < since {
			leaveOut(&body)
		}
	}
	return body
}

// news has, by the level that brought it, what leaves out of the body that it points to
// what is new, on a copy: what the body refers to is the caller's. It is empty as long
// as the release before knows all that this one sends. Whoever leaves something out of a
// hello has to tell it with a report later: the newer controller that comes after the
// older one hears no new hello.
var news = map[int64]func(body any){}
