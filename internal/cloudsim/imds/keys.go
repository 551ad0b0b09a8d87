package imds

import (
	"strings"
	"time"
)

// A Key is the credentials of an instance's role, for a time.
type Key struct {
	ID, Secret, Session string
	Role, Instance      string
	Issued, Expires     time.Time
}

// Key returns credentials that were given out, also after their end: for
// whoever checks signatures.
func (s *Service) Key(id string) (Key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.issued[id]
	return k, ok
}

// key is an instance's at the moment; made anew if the old one nears its end.
func (s *Service) key(id, role string) Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, now := s.of(id), time.Now()
	if i.key.Role != role || i.key.Expires.Add(-s.KeysSpare).Before(now) {
		i.key = Key{
			ID: s.Dialect.key(s.draw(24)), Secret: s.draw(30), Session: s.draw(120),
			Role: role, Instance: id, Issued: now, Expires: now.Add(s.KeysLast),
		}
		s.issued[i.key.ID] = i.key
	}
	return i.key
}

// given is the key that is told; old is one that has ended.
func (s *Service) given(id, role string, old bool) Key {
	k := s.key(id, role)
	if old {
		k.Issued, k.Expires = k.Issued.Add(-2*s.KeysLast), k.Expires.Add(-2*s.KeysLast)
	}
	return k
}

// letters are the first n letters and digits of a text, as capitals.
func letters(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '=' {
			return 'Q'
		}
		return r
	}, text)
	return strings.ToUpper(text[:n])
}
