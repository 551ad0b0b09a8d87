package allocator

import (
	"fmt"
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
	maxSaidFormer     = 8       // VFs
	maxCardText       = 64      // bytes of what is said of a VF
)

// How many links a node's census may say that are nobody's, and how many NICs a
// node may have on record for more of them to be taken on: each becomes a record
// that only its node's word ends. What is beyond has its turn once they are gone.
const (
	maxStrays    = 256
	maxCollected = 1024
	maxStrayText = 64 // bytes
)

// bounded is the word of a node, so much of it as is kept.
func bounded(o nic.Observed) nic.Observed {
	o.Addrs = o.Addrs[:min(len(o.Addrs), maxSaidAddrs)]
	o.Conditions = slices.Clone(o.Conditions[:min(len(o.Conditions), maxSaidConditions)])
	o.Former = o.Former[:min(len(o.Former), maxSaidFormer)]
	for i := range o.Conditions {
		c := &o.Conditions[i]
		c.Reason, c.Message = nic.Reason(cut(string(c.Reason), maxSaidReason)), cut(c.Message, maxSaidMessage)
	}
	return o
}

// boundedCensus is the same for a census.
func boundedCensus(c nic.Census) nic.Census {
	c.Strays = slices.Clone(c.Strays[:min(len(c.Strays), maxStrays)])
	for i := range c.Strays {
		for _, text := range []*string{&c.Strays[i].Link, &c.Strays[i].Kind, &c.Strays[i].Bridge, &c.Strays[i].Parent} {
			*text = cut(*text, maxStrayText)
		}
	}
	return c
}

// boundedCards is the same for a node's cards. How many there are is bounded where they
// come in.
func boundedCards(cards []nic.Card) []nic.Card {
	cards = slices.Clone(cards)
	for i := range cards {
		c := &cards[i]
		c.Name, c.Master, c.VFs = cut(c.Name, maxCardText), cut(c.Master, maxCardText), slices.Clone(c.VFs)
		for j := range c.VFs {
			for _, text := range []*string{&c.VFs[j].Name, &c.VFs[j].Used, &c.VFs[j].By} {
				*text = cut(*text, maxCardText)
			}
		}
	}
	return cards
}

// roomForStrays is nil if more of what the node says that is there may be taken on.
func roomForStrays(e *edit, node string) error {
	there, _, err := e.store.List(e.ctx, onPrefix(node), "", maxCollected)
	if err == nil && len(there) >= maxCollected {
		err = fmt.Errorf("node %s has %d NICs on record already; what its agent says is left there has to wait until some are gone", node, len(there))
	}
	return err
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
