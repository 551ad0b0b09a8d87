package cloudsim

import (
	"maps"
	"slices"
	"time"
)

// An Entry is one line of the log: a call, or what happened by itself.
type Entry struct {
	// N counts from 1, without gaps, in the order in which it all took effect.
	N    int       `json:"n"`
	Time time.Time `json:"time"`
	// API is the action; empty where it happened by itself, which Event names:
	// created, attached, detached, returned (attaching ended in available),
	// vanished, deleted, running, stopped, terminated, planted, plug-failed.
	API   string `json:"api,omitempty"`
	Event string `json:"event,omitempty"`
	// RequestID and Caller are the call's.
	RequestID string `json:"requestId,omitempty"`
	Caller    string `json:"caller,omitempty"`
	DryRun    bool   `json:"dryRun,omitempty"`
	// Resource is the id of what it was about, also of what it made; Instance
	// that of the instance, if any.
	Resource string `json:"resource,omitempty"`
	Instance string `json:"instance,omitempty"`
	// Device is the index that an attach asked for.
	Device int `json:"device,omitempty"`
	// Code is the error's; empty where there was none. A call whose answer was
	// lost on the wire has none, and a Fault.
	Code string `json:"code,omitempty"`
	// Fault is the names of the faults that struck, with commas.
	Fault string `json:"fault,omitempty"`
	// Effect: it changed the world.
	Effect bool `json:"effect,omitempty"`
	// Before and After are the resource's state: an interface's status, a slash
	// and its attachment's. "" is none.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`

	throttled bool
}

// Log returns the entries after number n, in order; all for 0. Not to be
// changed.
func (c *Cloud) Log(n int) []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agenda.catchUp(time.Now())
	n = min(max(n, 0), len(c.log))
	return slices.Clip(c.log[n:])
}

// A Count is how often an API was called, and what came of it.
type Count struct {
	Calls     int `json:"calls"`
	Errors    int `json:"errors"`
	Throttled int `json:"throttled"`
	Effects   int `json:"effects"`
}

// Counts are the log's totals by API.
func (c *Cloud) Counts() map[string]Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

func (c *Cloud) write(e Entry) {
	e.N = len(c.log) + 1
	c.log = append(c.log, e)
	if e.API == "" {
		return
	}
	n := c.counts[e.API]
	n.Calls++
	if e.Code != "" {
		n.Errors++
	}
	if e.throttled {
		n.Throttled++
	}
	if e.Effect {
		n.Effects++
	}
	c.counts[e.API] = n
}

// happened logs what an interface did by itself.
func (c *Cloud) happened(at time.Time, what string, e *eni, instance, before string) {
	c.write(Entry{Time: at, Event: what, Resource: e.now.ID, Instance: instance, Effect: true, Before: before, After: e.state()})
}
