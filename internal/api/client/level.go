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
// the release before there were levels says nothing.
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

// reportFor is the report without what a controller of the level does not know.
func reportFor(level int64, report nic.NodeReport) nic.NodeReport {
	if report.NICs == nil {
		report.NICs = []nic.Observed{}
	}
	if level >= 1 {
		return report
	}
	report.NICs = slices.Clone(report.NICs)
	for i := range report.NICs {
		report.NICs[i].Steps = nil
	}
	return report
}

// requestFor is the request without what a controller of the level does not know.
// Such a one knows no tenants: all is its default one's.
func requestFor(level int64, request nic.Request) nic.Request {
	if level < 1 {
		request.Tenant = ""
	}
	return request
}

// inventoryFor is the inventory without what a controller of the level does not
// know. Such a one gives no orders.
func inventoryFor(level int64, inventory nic.Inventory) nic.Inventory {
	if level < 1 {
		inventory.Moves = false
	}
	return inventory
}
