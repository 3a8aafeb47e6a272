// Package moves measures what a take-over costs the clients: which connections break, and how long
// the clients get no answer. Its test binary is also the server and the client of the measurement.
package moves

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// plainPort and persistentPort are the ports of the virtual services. The persistent service sends
// all connections of one client address to one real server.
const (
	plainPort      = 80
	persistentPort = 81
)

// beat is the time between two lines of a chatty or streaming connection, and two datagrams.
const beat = 100 * time.Millisecond

// server simulates a real server. It answers each line and each datagram with its name. After the
// line "stream", it sends its name at every beat. After the line "bye", it closes the connection.
type server struct {
	name    string
	mu      sync.Mutex
	streams map[net.Conn]bool
}

// serve answers on the addresses until one of the listeners fails.
func serve(name string, addresses []string) error {
	s := &server{name: name, streams: map[net.Conn]bool{}}
	failed := make(chan error)
	config := net.ListenConfig{KeepAlive: -1} // keep-alive packets would synchronise idle connections
	for _, address := range addresses {
		datagrams, err := net.ListenPacket("udp", fmt.Sprintf("%s:%d", address, plainPort))
		if err != nil {
			return err
		}
		go func() { failed <- s.answer(datagrams) }()
		for _, port := range []int{plainPort, persistentPort} {
			listener, err := config.Listen(context.Background(), "tcp", fmt.Sprintf("%s:%d", address, port))
			if err != nil {
				return err
			}
			go func() { failed <- s.accept(listener) }()
		}
	}
	go s.stream()
	fmt.Println(ready)
	return <-failed
}

func (s *server) answer(datagrams net.PacketConn) error {
	buffer := make([]byte, 64)
	for {
		_, from, err := datagrams.ReadFrom(buffer)
		if err != nil {
			return err
		}
		_, _ = datagrams.WriteTo([]byte(s.name), from) // A write error is ignored: the client counts a lost answer.
	}
}

func (s *server) accept(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go s.handle(conn)
	}
}

// handle serves one connection. Errors end the connection, and the client counts them.
func (s *server) handle(conn net.Conn) {
	defer func() {
		s.forget(conn)
		_ = conn.Close()
	}()
	lines := bufio.NewReaderSize(conn, 64)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		if line == "stream\n" {
			s.mu.Lock()
			s.streams[conn] = true
			s.mu.Unlock()
		}
		if _, err := conn.Write([]byte(s.name + "\n")); err != nil || line == "bye\n" {
			return
		}
	}
}

// send writes a line if the connection has space for it, and drops the line otherwise. A connection
// that waits for a retransmission must not stop the other connections.
func send(conn net.Conn, line string) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		_, failed = syscall.Write(int(fd), []byte(line))
		return true
	})
	if errors.Is(failed, syscall.EAGAIN) {
		failed = nil
	}
	return errors.Join(err, failed)
}

func (s *server) forget(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, conn)
}

func (s *server) stream() {
	for range time.Tick(beat) {
		s.mu.Lock()
		for conn := range s.streams {
			_ = send(conn, s.name+"\n") // A write error is ignored: the goroutine that reads the connection gets the same error.
		}
		s.mu.Unlock()
	}
}
