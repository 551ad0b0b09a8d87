package allocator

import (
	"slices"
	"unicode/utf8"

	"github.com/nicferry/nicferry/nic"
)

// How much of a node's word about one NIC is kept. It is the node's to say, and
// the store's and the memory of all to keep.
const (
	maxSaidAddrs      = 64
	maxSaidConditions = 16
	maxSaidReason     = 64      // bytes
	maxSaidMessage    = 2 << 10 // bytes
)

// bounded is the word of a node, so much of it as is kept.
func bounded(o nic.Observed) nic.Observed {
	o.Addrs = o.Addrs[:min(len(o.Addrs), maxSaidAddrs)]
	o.Conditions = slices.Clone(o.Conditions[:min(len(o.Conditions), maxSaidConditions)])
	for i := range o.Conditions {
		c := &o.Conditions[i]
		c.Reason, c.Message = nic.Reason(cut(string(c.Reason), maxSaidReason)), cut(c.Message, maxSaidMessage)
	}
	return o
}

// cut is the beginning of a text, in whole characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
