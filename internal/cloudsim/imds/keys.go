package imds

import (
	"encoding/json"
	"net/http"
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
			ID: "ASIA" + letters(s.draw(24), 16), Secret: s.draw(30), Session: s.draw(120),
			Role: role, Instance: id, Issued: now, Expires: now.Add(s.KeysLast),
		}
		s.issued[i.key.ID] = i.key
	}
	return i.key
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

// readRole answers below meta-data/iam.
func (s *Service) readRole(id, account, path string, old bool) answer {
	const list = "security-credentials"
	role := s.Role(id)
	path = strings.Trim(path, "/")
	switch {
	case role == "":
		return refusal(http.StatusNotFound)
	case path == "":
		return plain("info\n" + list + "/")
	case path == "info":
		return document(map[string]string{
			"Code": "Success", "LastUpdated": s.key(id, role).Issued.UTC().Format(time.RFC3339),
			"InstanceProfileArn": "arn:aws:iam::" + account + ":instance-profile/" + role, "InstanceProfileId": "AIPA" + letters(strings.Repeat(role, 17), 17),
		})
	case path == list:
		return plain(role)
	case path != list+"/"+role:
		return refusal(http.StatusNotFound)
	}
	k := s.key(id, role)
	if old {
		k.Issued, k.Expires = k.Issued.Add(-2*s.KeysLast), k.Expires.Add(-2*s.KeysLast)
	}
	return document(map[string]string{
		"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": k.Issued.UTC().Format(time.RFC3339), "Expiration": k.Expires.UTC().Format(time.RFC3339),
		"AccessKeyId": k.ID, "SecretAccessKey": k.Secret, "Token": k.Session,
	})
}

// document is an answer of JSON.
func document(v any) answer {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return refusal(http.StatusInternalServerError)
	}
	return plain(string(text))
}
