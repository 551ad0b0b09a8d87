package cloudsim

import "time"

// An Entry is one line of the log: a call, or what happened by itself.
type Entry struct {
	// N counts from 1, without gaps, in the order in which it all took effect.
	N    int       `json:"n"`
	Time time.Time `json:"time"`
	// API is the action; empty where it happened by itself, which Event names:
	// created, attached, detached, vanished, deleted, running, stopped,
	// terminated, planted, plug-failed.
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
	// Fault is the name of the faults that struck, with commas.
	Fault string `json:"fault,omitempty"`
	// Effect: it changed the world.
	Effect bool `json:"effect,omitempty"`
	// Before and After are the resource's state: an interface's status, a slash
	// and its attachment's. "" is none.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Log returns the entries after number n, in order; all for 0.
func (c *Cloud) Log(n int) []Entry { return nil }

// A Count is how often an API was called, and what came of it.
type Count struct{ Calls, Errors, Throttled, Effects int }

// Counts are the log's totals by API.
func (c *Cloud) Counts() map[string]Count { return nil }
