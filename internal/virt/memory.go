package virt

import (
	"maps"
	"sync"
)

// A memory is what the XML of each domain said when it was read last. To read
// it takes milliseconds, in which a NIC that moves is nowhere; an attach looks at
// its domain four times, and mostly finds it as it was. Its zero value is empty.
type memory struct {
	mu   sync.Mutex
	last map[string]pair // by the domain's UUID
}

// A pair is what of a domain is remembered.
type pair struct{ live, stored remembered }

type remembered struct {
	text string
	*reading
}

// domain is ReadDomain for the domain with the UUID; "" is not remembered.
func (m *memory) domain(uuid, live, stored string) (Domain, error) {
	m.mu.Lock()
	was := m.last[uuid]
	m.mu.Unlock()
	now, err := was.next(live, stored)
	if err == nil && live == "" && stored == "" {
		_, err = readText("") // it went away meanwhile
	}
	if err != nil {
		return Domain{}, err
	}
	if uuid != "" {
		m.mu.Lock()
		if m.last == nil {
			m.last = map[string]pair{}
		}
		m.last[uuid] = now
		m.mu.Unlock()
	}
	return domainOf(now.live.reading, now.stored.reading), nil
}

// next reads what is new.
func (p pair) next(live, stored string) (now pair, err error) {
	if now.live, err = p.live.next(live); err != nil {
		return pair{}, err
	}
	now.stored, err = p.stored.next(stored)
	return now, err
}

func (r remembered) next(text string) (remembered, error) {
	switch text {
	case "":
		return remembered{}, nil
	case r.text:
		return r, nil
	}
	read, err := readText(text)
	return remembered{text, read}, err
}

// keepOnly forgets all domains but those.
func (m *memory) keepOnly(uuids map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.last, func(uuid string, _ pair) bool { return !uuids[uuid] })
}
