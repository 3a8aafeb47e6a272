package connection

import "testing"

func TestHeader(t *testing.T) {
	message := NewMessage(7, 1472)
	for _, tt := range []struct {
		name        string
		datagram    []byte
		id, version uint8
		ok          bool
	}{
		{"ours", message.Bytes(), 7, 1, true},
		{"version 0", []byte{1, 9, 0, 28, 27: 0}, 9, 0, true},
		{"too short", []byte{0, 7, 0}, 0, 0, false},
		{"another length", []byte{0, 7, 0, 9, 0, 1, 0, 0}, 0, 0, false},
		{"empty", nil, 0, 0, false},
	} {
		id, version, ok := Header(tt.datagram)
		if id != tt.id || version != tt.version || ok != tt.ok {
			t.Errorf("%s: %d, %d, %v", tt.name, id, version, ok)
		}
	}
}
