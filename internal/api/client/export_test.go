package client

import "testing"

// SetNews has something new in bodies since a level until the test has ended, which must
// not be parallel.
func SetNews(t *testing.T, since int64, leaveOut func(body any)) {
	t.Helper()
	was := news
	news = map[int64]func(body any){since: leaveOut}
	t.Cleanup(func() { news = was })
}
