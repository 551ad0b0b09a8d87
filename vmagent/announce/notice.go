package announce

import "time"

// notices is how often an address is announced: a frame may be lost, and a
// switch deaf at first.
const notices = 3

// noticeAfter is when the notice with that number is sent.
func noticeAfter(n int) time.Duration {
	return [notices]time.Duration{0, 50 * time.Millisecond, time.Second}[n]
}

// tell announces the address as soon as it is on the NIC.
func (c *check) tell(k *worker, now time.Time) error {
	if !c.clear || k.o.Silent || c.told == notices {
		return nil
	}
	if !k.present(c.prefix.Addr()) {
		c.tellAt = time.Time{} // it goes on when the address is seen
		return nil
	}
	if now.Before(c.tellAt) {
		return nil
	}
	addr := c.prefix.Addr()
	if err := k.send(noticeFrame(k.o.MAC, addr)); err != nil {
		return err
	}
	if k.o.Replies && addr.Is4() {
		if err := k.send(replyFrame(k.o.MAC, addr)); err != nil {
			return err
		}
	}
	if c.told == 0 {
		c.begun = now
	}
	c.told++
	c.tellAt = time.Time{}
	if c.told < notices {
		c.tellAt = c.begun.Add(noticeAfter(c.told))
	}
	return nil
}
