package dhcp

import (
	"fmt"
	"strings"
)

// Longest names that DNS knows, in bytes (RFC 1035 §2.3.4).
const (
	maxDomain = 253
	maxLabel  = 63
)

// CheckHostname allows one DNS label, as a host name in option 12 should be.
func CheckHostname(s string) error {
	if !isLabel(s) {
		return fmt.Errorf("host name %.80q: want at most %d letters, digits and inner '-'", s, maxLabel)
	}
	return nil
}

// checkDomain allows labels joined by dots: nothing that could end a line of
// resolv.conf, open a comment or speak to a shell or a terminal.
func checkDomain(s string) error {
	if s == "" || len(s) > maxDomain {
		return fmt.Errorf("domain of %d bytes: want 1 to %d", len(s), maxDomain)
	}
	for _, label := range strings.Split(s, ".") {
		if !isLabel(label) {
			return fmt.Errorf("domain %.80q: want dotted labels of letters, digits and inner '-'", s)
		}
	}
	return nil
}

func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
