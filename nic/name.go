package nic

import (
	"fmt"
	"strconv"
)

// Longest names, in bytes.
const (
	maxInterfaceName = 15 // IFNAMSIZ-1, linux/if.h
	maxName          = 63 // fits a DNS label, a cloud tag and a file name
)

// CheckInterfaceName allows [a-zA-Z][a-zA-Z0-9_.-]{0,14}. The kernel takes far
// more (";rm", "-f", escape codes); a name reaches logs and terminals, so we
// do not.
func CheckInterfaceName(s string) error {
	if len(s) > maxInterfaceName {
		return fmt.Errorf("interface name %s: %d bytes, the kernel allows %d", clip(s), len(s), maxInterfaceName)
	}
	if !startsWithLetter(s) || !onlyNameBytes(s) {
		return fmt.Errorf("interface name %q: want a letter, then letters, digits, '_', '.' or '-'", s)
	}
	if s == "lo" || s == "all" || s == "default" {
		return fmt.Errorf("interface name %q: is the kernel's own", s)
	}
	return nil
}

// CheckName allows the names of networks, nodes, providers and tenants:
// a letter or digit, then letters, digits, '_', '.' or '-', at most 63 bytes.
func CheckName(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%s name is empty", what)
	case len(s) > maxName:
		return fmt.Errorf("%s name %s: %d bytes, at most %d", what, clip(s), len(s), maxName)
	case !onlyNameBytes(s) || s[0] == '-' || s[0] == '.' || s[0] == '_':
		return fmt.Errorf("%s name %q: want a letter or digit, then letters, digits, '_', '.' or '-'", what, s)
	}
	return nil
}

func startsWithLetter(s string) bool {
	return s != "" && (s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z')
}

func onlyNameBytes(s string) bool {
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// clip quotes a name that is too long to be told whole.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:most] + "…")
}
