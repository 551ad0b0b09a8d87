package client

import (
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// This file is the one place that knows what an older controller does not: it
// refuses a body with a field that is new to it. The controller's answer to hello
// says what it knows, 0 being the release before there were levels.

// reportFor is the report without what a controller of the level does not know.
func reportFor(level int, report nic.NodeReport) nic.NodeReport {
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
func requestFor(level int, request nic.Request) nic.Request {
	if level < 1 {
		request.Tenant = ""
	}
	return request
}
