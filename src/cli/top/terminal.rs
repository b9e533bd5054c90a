//! The terminal while the screen is shown. It is what it was before when that ends, by a panic too.

use std::thread;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::mpsc;

use super::News;
use super::screen;
use super::view::{Key, View};
use crate::cli::Failure;

/// The terminal, until it is dropped.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    pub(super) fn open() -> Result<Self, Failure> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // Half of it may have been done.
                ratatui::restore();
                Err(Failure::failed(format_args!("can't use this terminal: {error}"))
                    .hint("`hookbus top --once` needs none"))
            }
        }
    }

    pub(super) fn draw(&mut self, view: &View) -> Result<(), Failure> {
        let drawn = self.0.draw(|frame| screen::draw(view, true, frame.area(), frame.buffer_mut()));
        drawn
            .map(drop)
            .map_err(|error| Failure::failed(format_args!("can't write to this terminal: {error}")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Tell of keys and of other sizes from now on. The thread waits for the terminal, and ends with the process.
pub(super) fn listen(news: mpsc::Sender<News>) {
    thread::spawn(move || {
        loop {
            let next = match event::read() {
                Ok(Event::Key(key)) => key_meaning(key).map(News::Key),
                Ok(Event::Resize(..)) => Some(News::Resized),
                Ok(_) => None,
                Err(_) => Some(News::Closed),
            };
            let is_last = matches!(next, Some(News::Closed));
            if next.is_some_and(|next| news.blocking_send(next).is_err()) || is_last {
                return;
            }
        }
    });
}

fn key_meaning(key: KeyEvent) -> Option<Key> {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if is_control => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('p' | ' ') => Some(Key::Pause),
        KeyCode::Char('s') => Some(Key::Sort),
        KeyCode::Tab => Some(Key::Focus),
        _ => None,
    }
}
