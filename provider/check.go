package provider

import (
	"context"

	"github.com/nicferry/nicferry/nic"
)

// A Checker tries what will be asked of it, and makes nothing.
type Checker interface {
	// Check returns a finding for each thing that was looked at, good or bad. What
	// cannot be looked at yet is one that is Unknown.
	Check(ctx context.Context, networks []nic.Network) []Finding
}

// A Verdict is what a Checker finds of one thing.
type Verdict string

// The verdicts.
const (
	Good    Verdict = "ok"
	Bad     Verdict = "fault"
	Unknown Verdict = "unknown"
)

// A Finding is what was found of one thing that a provider needs.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	// Network is empty for what concerns all.
	Network string `json:"network,omitempty"`
	// About is such as "permission ec2:CreateNetworkInterface" or "subnet subnet-1".
	About string `json:"about"`
	// Message says what is so, and what to do if it is bad.
	Message string `json:"message,omitempty"`
}
