package client

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
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

// forLevel is a body without what a controller of the level does not know. What is
// new is left out here, on a copy, with its level.
func forLevel[B any](level int64, body B) B {
	if level >= api.LevelCards {
		return body
	}
	switch b := any(&body).(type) {
	case *api.AcquireRequest:
		b.Request.NUMA = nil
	case *nic.Inventory:
		b.Cards = nil
	case *nic.NodeReport:
		b.Cards, b.NICs = nil, slices.Clone(b.NICs)
		for i := range b.NICs {
			b.NICs[i].Former, b.NICs[i].Device = nil, ""
		}
	}
	return body
}

// owe notes which cards were kept from an older controller, or that none were. The one
// that comes after it hears no new hello, and is told them with the next report.
func (c *Client) owe(level int64, cards []nic.Card) {
	if level >= api.LevelCards {
		c.owed.Store(nil)
	} else {
		c.owed.Store(&cards)
	}
}
