package api

import (
	"time"

	"github.com/nicferry/nicferry/nic"
)

// EventType says whether an event is as it should be.
type EventType string

// The types of event.
const (
	EventNormal  EventType = "normal"
	EventWarning EventType = "warning" // somebody may have to do something
)

// An Event is something that has happened, for people to read. What happens
// again within minutes is one event with a count, which moves to the end.
type Event struct {
	// Seq numbers the events of a stream, from 1. What is counted anew gets a
	// new one.
	Seq uint64 `json:"seq"`
	// At is when it happened, the last time.
	At time.Time `json:"at"`
	// First is when it happened the first time, and Count how often, where that
	// is more than once.
	First time.Time `json:"first,omitzero"`
	Count int       `json:"count,omitempty"`
	Type  EventType `json:"type" enum:"normal,warning"`
	// Reason is one CamelCase word for programs. Those of conditions are theirs.
	Reason nic.Reason `json:"reason"`
	// Message says it to a person.
	Message string `json:"message"`
	// What it is about; empty is nothing of that sort.
	Node      string      `json:"node,omitempty"`
	Claim     nic.ClaimID `json:"claim,omitempty"`
	NIC       nic.ID      `json:"nic,omitempty"`
	Move      nic.MoveID  `json:"move,omitempty"`
	Container string      `json:"container,omitempty"`
	Network   string      `json:"network,omitempty"`
	Tenant    string      `json:"tenant,omitempty"`
}

// Events are some events of a stream, oldest first.
type Events struct {
	// Stream names the controller's run. Numbers of other streams mean nothing.
	Stream string  `json:"stream"`
	Items  []Event `json:"items" nullable:"false"`
	// Missed is how many events between the asked one and the last of Items are not
	// kept any more, at most.
	Missed uint64 `json:"missed,omitempty"`
	// Last is the newest event's number, or that of before the first one.
	Last uint64 `json:"last"`
}

// The named events of the stream of GET /v1/events?follow=true. An unnamed one
// is an Event.
const (
	EventStream = "stream" // a Stream: always the first
	EventGap    = "gap"    // a Gap: the reader was too slow
)

// A Stream begins what is followed.
type Stream struct {
	Stream string `json:"stream"`
	Last   uint64 `json:"last"`
}

// A Gap says how many events a reader has missed, at most.
type Gap struct {
	Missed uint64 `json:"missed"`
}

// A StepTime is a step of a NIC's way into its container.
type StepTime struct {
	nic.Step
	// Start is how long after the first step this one began, Took how long it
	// took, both in seconds.
	Start float64 `json:"startSeconds"`
	Took  float64 `json:"tookSeconds"`
}

// Waterfall works out what each step took: what has passed since the one before.
func Waterfall(steps []nic.Step) []StepTime {
	var all []StepTime
	for i, s := range steps {
		before := steps[max(0, i-1)].At
		all = append(all, StepTime{Step: s, Start: before.Sub(steps[0].At).Seconds(), Took: s.At.Sub(before).Seconds()})
	}
	return all
}
