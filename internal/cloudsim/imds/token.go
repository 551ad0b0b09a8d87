package imds

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"time"
)

const (
	tokenPath = "/latest/api/token"
	maxTTL    = 21600 // seconds
	maxTokens = 4096  // of one instance; the one that ends first is forgotten for the next
)

// giveToken answers PUT /latest/api/token.
func (s *Service) giveToken(id string, r *http.Request) answer {
	ttl, err := strconv.Atoi(r.Header.Get(s.Dialect.ttlHeader))
	switch {
	case len(r.Header.Values("X-Forwarded-For")) > 0: // an open proxy on the instance would serve strangers
		return refusal(http.StatusForbidden)
	case err != nil || ttl < 1 || ttl > maxTTL:
		return refusal(http.StatusBadRequest)
	}
	a := plain(s.newToken(id, time.Duration(ttl)*time.Second))
	if s.Dialect.echoesTTL {
		a.header = [2]string{s.Dialect.ttlHeader, strconv.Itoa(ttl)}
	}
	return a
}

// newToken makes one for an instance. It is no other instance's.
func (s *Service) newToken(id string, ttl time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.of(id)
	if len(i.tokens) >= maxTokens {
		i.forget()
	}
	token := s.draw(40)
	i.tokens[token] = time.Now().Add(ttl)
	return token
}

// forget makes room for a token: all go that have ended, and if none has the
// one that ends first.
func (i *instance) forget() {
	first, now := "", time.Now()
	for token, end := range i.tokens {
		if !end.After(now) {
			delete(i.tokens, token)
		} else if first == "" || end.Before(i.tokens[first]) {
			first = token
		}
	}
	if len(i.tokens) >= maxTokens {
		delete(i.tokens, first)
	}
}

// draw makes a text out of so many random bytes. The caller has the lock.
func (s *Service) draw(n int) string {
	raw := make([]byte, n)
	s.random.Read(raw) // never fails
	return base64.URLEncoding.EncodeToString(raw)
}

// admits says whether a read has the token that it needs.
func (s *Service) admits(id string, r *http.Request) bool {
	token := r.Header.Get(s.Dialect.tokenHeader)
	if token == "" {
		return s.Optional
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(id).tokens[token].After(time.Now())
}
