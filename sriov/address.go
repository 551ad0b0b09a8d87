package sriov

import (
	"fmt"
	"strings"
)

// An Address is a PCI address in the kernel's form, such as 0000:03:00.1: domain,
// bus, device and function in hexadecimal.
type Address string

// ParseAddress reads a PCI address. Its domain may be left out, which is then
// 0000, and letters may be of either case.
func ParseAddress(s string) (Address, error) {
	text := strings.ToLower(s)
	if strings.Count(text, ":") == 1 {
		text = "0000:" + text
	}
	domain, rest, _ := strings.Cut(text, ":")
	bus, rest, _ := strings.Cut(rest, ":")
	device, function, _ := strings.Cut(rest, ".")
	well := len(domain) >= 4 && len(domain) <= 8 && isHex(domain) &&
		len(bus) == 2 && isHex(bus) &&
		len(device) == 2 && isHex(device) && device[0] <= '1' &&
		len(function) == 1 && function[0] >= '0' && function[0] <= '7'
	if !well {
		return "", fmt.Errorf("PCI address %q: want domain:bus:device.function such as 0000:03:00.1", clip(s))
	}
	return Address(text), nil
}

// Card is the address without its function. The ports of one card share it, so
// that they also fail together.
func (a Address) Card() string {
	card, _, _ := strings.Cut(string(a), ".")
	return card
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

// clip shortens what is too long to be told whole.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
