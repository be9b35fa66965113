// Asio's and Beast's own sources, compiled once for the whole program (see the definitions in cmake/iotcore.cmake).
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
