// class: conversion
// expect: 500
require({ toString() { return "../callbacks/x" } });
