package pulse

import (
	"time"

	"github.com/nicferry/nicferry/internal/link"
)

// linkLimit is how long the kernel may take for one link before it is called stuck:
// far longer than it takes with a crowd of NICs.
const linkLimit = 5 * time.Second

// OfLinks asks for the loopback, which each namespace has as its first link.
func OfLinks(h *link.Handle) *Pulse {
	return New(linkLimit, func() error { _, err := h.ByIndex(1); return err })
}
