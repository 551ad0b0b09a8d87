package nic

import (
	"fmt"
	"strings"
)

// Longest names that DNS knows, in bytes (RFC 1035 §2.3.4).
const (
	maxDomain      = 253
	maxDomainLabel = 63
)

// CheckHostname allows one DNS label.
func CheckHostname(s string) error {
	if !isDomainLabel(s) {
		return fmt.Errorf("host name %s: want at most %d letters, digits and inner '-'", clip(s), maxDomainLabel)
	}
	return nil
}

// CheckDomain allows labels joined by dots: nothing that could end a line of
// resolv.conf, open a comment or speak to a shell or a terminal.
func CheckDomain(s string) error {
	if s == "" || len(s) > maxDomain {
		return fmt.Errorf("domain of %d bytes: want 1 to %d", len(s), maxDomain)
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isDomainLabel(label) {
			return fmt.Errorf("domain %s: want dotted labels of letters, digits and inner '-'", clip(s))
		}
	}
	return nil
}

func isDomainLabel(s string) bool {
	return s != "" && len(s) <= maxDomainLabel && s[0] != '-' && s[len(s)-1] != '-' &&
		onlyNameBytes(s) && !strings.ContainsAny(s, "_.")
}
