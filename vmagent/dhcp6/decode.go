package dhcp6

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// Lengths in bytes.
const (
	messageHeader = 4
	optionHeader  = 4
	maxOption     = 512
)

// readOptions are those that we read.
var readOptions = []dhcpv6.OptionCode{
	dhcpv6.OptionClientID, dhcpv6.OptionServerID, dhcpv6.OptionIANA, dhcpv6.OptionStatusCode,
	dhcpv6.OptionRapidCommit, dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList,
}

// decode decodes a message as far as we read it: of the library, which decodes
// dozens of options and takes no message in which one is malformed, as little
// as possible shall be at a stranger's hand. It does not keep b.
func decode(b []byte) (*dhcpv6.Message, error) {
	if len(b) < messageHeader {
		return nil, errors.New("message is too short")
	}
	read, rest := slices.Clone(b[:messageHeader]), b[messageHeader:]
	for len(rest) > 0 {
		if len(rest) < optionHeader {
			return nil, errors.New("option is too short")
		}
		code, size := dhcpv6.OptionCode(binary.BigEndian.Uint16(rest)), int(binary.BigEndian.Uint16(rest[2:]))
		end := optionHeader + size
		if end > len(rest) {
			return nil, errors.New("option is longer than its message")
		}
		if size <= maxOption && slices.Contains(readOptions, code) {
			read = append(read, rest[:end]...)
		}
		rest = rest[end:]
	}
	return dhcpv6.MessageFromBytes(read)
}
